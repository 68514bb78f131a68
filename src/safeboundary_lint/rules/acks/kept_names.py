"""What names of files, functions and classes tell of what is written: kept, made again, or anything."""

from __future__ import annotations


from safeboundary_lint.core.regex import Regex

KEPT = (
    r"state|states|checkpoint|checkpoints|config|configs|configuration|conf|cfg|settings|preferences|prefs|credential|"
    r"credentials|token|tokens|secret|secrets|"
    r"keyring|keystore|auth|session|sessions|cursor|cursors|offset|offsets|progress|registry|database|db|ledger|wallet|"
    r"journal|pending|inventory|account|accounts|"
    r"password|passwords|passwd|shadow|hosts|crontab|fstab|users|profile|profiles|history|bookmarks|known_hosts|"
    r"authorized_keys|watermark|persist|persistent|storage|"
    r"\w*\.conf|\w*\.cfg|\w*\.ini|\w*\.toml|props|properties|metadata|memory|stats|store|last_run|last_seen|subscriptions|"
    r"schedule|jobs|quota|whitelist|blacklist"
)
TELLING = Regex(rf"(?:^|[\W_])(?:{KEPT})(?:$|[\W_\d])")
REMADE = Regex(
    r"(?:^|[\W_])(?:cache|cached|caches|memo|memoize|log|logs|report|reports|export|exports|output|out|outfile|output_dir|result|"
    r"results|html|htm|csv|tsv|xlsx|png|jpg|svg|pdf|plot|dump|"
    r"dumps|debug|trace|generated|gen|template|templates|build|dist|docs|doc|download|downloads|readme|stdout|stderr|"
    r"sample|example|examples|test|tests|testdata|"
    r"fixture|fixtures|mock|lock|lockfile|pidfile|pid|sock|fifo|dev|proc|sys|model_path|onnx|diff|patch|coverage|artifact|"
    r"artifacts|summary|benchmark|render|rendered|"
    r"mo|po|pot|tex|dot|py|js|ts|css|md|rst|txt_report|screenshot|figure|schema_file|openapi|manifest_out|hist|challenge|"
    r"telemetry|overlay|temp_dir|tmpdir|dummy|crash|state_dict|weights|save_path|save_dir)(?:$|[\W_\d])"
)
ONE_OFF = Regex(
    r"(?:^|/)(?:docs?|benchmarks?|ci|\.github|contrib|demos?|samples?|testing|setup\.py|conftest\.py|noxfile\.py|"
    r"tasks\.py)(?:/|$)"
)
BESIDE_CODE = Regex(r"(?:^|/)(?:scripts?|tools|dev|misc|templates?)(?:/|$)")  # or a package of that name
KEEPER = Regex(
    r"(?:^|_)(?:settings|preferences|config(?:uration)?|registry|wallet|ledger|credentials|keystore|journal|accounts?)(?:_|$)"
)
SHELF = Regex(r"(?:^|_)(?:store|storage|state|database|history|persistence)(?:_|$)")  # of many things, it may be
NAMED = Regex(
    r"(?:^|_)(?:state|config(?:uration)?|settings|preferences|prefs|credentials?|tokens?|secrets?|checkpoint|sessions?|cursor|"
    r"offsets?|registry|ledger|wallet|journal|accounts?|profiles?|passwords?)(?:_|$)"
)
FITTED = Regex(
    r"(?:^|_)(?:model|result|results|evaluation|metrics?|artifacts?|dataset|tokenizer|vocab\w*|estimator|index)(?:_|$)"
)
KEEPS = Regex(r"_*(?:save|store|write|persist|put|set|update)(?:_\w+)?")
ATOMIC = Regex(
    r"\w*(?:atomic|safe_write|backup|export|generate|render|make_|scaffold|bootstrap|init_project|create_project|startproject|"
    r"dump_to|debug|report|plot|download|test|wizard|save_model|log_model|async_dump|challenge|_pid)\w*"
)
CACHED = Regex(r"cached|(?:cached|memo)_\w+|\w+_from_cache")
FOUND_AGAIN = Regex(
    r"_*(?:listdir|scandir|glob|walk|(?:re)?(?:scan|build|discover|compute|calculate|index|generate|collect)(?:_\w+)?)"
)
LOADS = Regex(r"_*(?:(?:load|read|restore|get|open|parse)_?(\w*)|(\w+)_(?:load|read))")
SAVES = Regex(r"_*(?:(?:save|store|write|persist|set|dump|update)_?(\w*)|(\w+)_(?:save|write|store|dump))")
PATH = Regex(r"(?:\w+_)?(?:path|file|filename|fname|dest|destination|target)|\w*file")
CAMEL = Regex(r"(?<=[a-z0-9])(?=[A-Z])")


def spoken(name: str) -> str:
    """`WalletStorage.saveAll` as `wallet_storage_save_all`."""
    return CAMEL.sub("_", name).lower().replace(".", "_")
