"""The generated vectors of caveats in the spelling of each library: read by value, or refused by name."""

from tests.support.tokens import API, CERTIFICATE, NOW, signed
from tests.vectors.cases import CNF, Case

SOON, X5T = NOW + 60, CERTIFICATE


def spelled(comment: str, *texts: str, bound: bool = True) -> Case:
    """Return the case of a token that is accepted with caveats in these spellings."""
    return Case(comment, signed(*[CNF][:bound], *(text.encode() for text in texts)), "accepted")


def refused(comment: str, text: str | bytes) -> Case:
    """Return the case of a bound token with a caveat that has two readings, or none."""
    return Case(comment, signed(CNF, text.encode() if isinstance(text, str) else text), "CaveatsNotMet")


SPELLED = {
    "spelled-python": spelled(
        "json.dumps: a space after colon and comma, ASCII alone",
        f'{{"cnf": {{"x5t#S256": "{X5T}"}}}}',
        f'{{"exp": {SOON}}}',
        '{"aud": ["https://api.example", "https://caf\\u00e9.example/"]}',
        bound=False,
    ),
    "spelled-python-indented": spelled(
        "json.dumps(indent=4, sort_keys=True)",
        f'{{\n    "cnf": {{\n        "x5t#S256": "{X5T}"\n    }},\n    "exp": {SOON}\n}}',
        bound=False,
    ),
    "spelled-php": spelled(
        "json_encode: a slash is escaped",
        '{"htu":"https:\\/\\/api.example\\/invoices\\/7"}',
        '{"path":"\\/invoices"}',
    ),
    "spelled-php-pretty": spelled(
        "JSON_PRETTY_PRINT and JSON_PRESERVE_ZERO_FRACTION",
        f'{{\n    "exp": {SOON}.0,\n    "path": "\\/invoices"\n}}',
    ),
    "spelled-go": spelled(
        "json.Encoder: &, < and > are escaped, a line end follows",
        '{"aud":["https://api.example","https://api.example/?a\\u0026b\\u003cx\\u003e"]}\n',
    ),
    "spelled-javascript": spelled(
        "JSON.stringify(caveat, null, 2)", f'{{\n  "exp": {SOON},\n  "scope": "read"\n}}'
    ),
    "spelled-jackson": spelled(
        "Jackson's pretty printer, and a double of seconds",
        '{\n  "exp" : 1.76722206E9,\n  "htm" : [ "GET", "HEAD" ]\n}',
    ),
    "spelled-gson": spelled(
        "Gson: = and ' are escaped",
        '{"aud":["https://api.example","https://x.example/?a\\u003d\\u0027b\\u0027"]}',
    ),
    "spelled-dotnet": spelled(
        "System.Text.Json: + and all beyond ASCII are escaped in capitals",
        '{"aud":["https://api.example","https://x.example/\\u002B\\u00E9\\uD83D\\uDE00"]}',
    ),
    "spelled-ruby": spelled("JSON.pretty_generate", '{\n  "ip": [\n    "192.0.2.0/24",\n    "::1"\n  ]\n}'),
    "spelled-rails": spelled(
        "ActiveSupport: &, <, > and the line separators are escaped",
        '{"aud":["https://api.example","https://x.example/?a\\u0026b\\u2028"]}',
    ),
    "spelled-perl": spelled("JSON::PP->pretty", f'{{\n   "exp" : {SOON},\n   "scope" : "read"\n}}\n'),
    "spelled-lua": spelled("cjson: a slash is escaped", '{"ip":"192.0.2.0\\/24"}'),
    "spelled-windows": spelled("line ends of Windows and tabs", f'{{\r\n\t"exp":\t{SOON}\r\n}}\r\n'),
    "spelled-set": spelled(
        "a caveat set of PingAM: each member restricts",
        f'{{"scope":"read","exp":{SOON},"cnf":{{"x5t#S256":"{X5T}"}},"aud":"{API}"}}',
        bound=False,
    ),
}

SET_NOT_MET = {
    "set-one-not-met": refused("the second member is not met", f'{{"scope":"read","exp":{NOW}}}'),
    "set-first-not-met": refused("the first member is not met", f'{{"htm":"DELETE","exp":{SOON}}}'),
    "set-unknown-member": refused(
        "who knows the first member does not know the second", f'{{"exp":{SOON},"role":"clerk"}}'
    ),
    "set-empty": refused("a set that restricts nothing", "{}"),
    "set-scope-nothing-left": refused(
        "the scope of a set is intersected, too", f'{{"scope":"root","exp":{SOON}}}'
    ),
    "set-cnf-of-the-thief": Case(
        "a thief binds what is bound to another by a set",
        signed(CNF, b'{"cnf":{"x5t#S256":"' + b"A" * 43 + b'"},"scope":"read"}'),
        "CaveatsNotMet",
    ),
    "set-spelled-cnf-stolen": Case(
        "a cnf in a spelled set binds as any other: stolen, presented without certificate",
        signed(f'{{ "scope": "read", "\\u0063nf": {{"x5t#S256": "{X5T}"}} }}'.encode()),
        "CaveatsNotMet",
        {"certificate": None},
    ),
}

TWO_READINGS = SET_NOT_MET | {
    "caveat-repeated-key-escaped": refused("the same key, escaped", f'{{"exp":1,"e\\u0078p":{SOON}}}'),
    "caveat-repeated-key-in-a-set": refused(
        "the same key, others between", f'{{"exp":1,"scope":"read","exp":{SOON}}}'
    ),
    "caveat-repeated-thumbprint": refused(
        "the same key inside", f'{{"cnf":{{"x5t#S256":"{"A" * 43}","x5t#\\u0053256":"{X5T}"}}}}'
    ),
    "caveat-trailing-comma": refused("no JSON to most readers", f'{{"exp":{SOON},}}'),
    "caveat-nan": refused("JavaScript's, not JSON's", '{"exp":NaN}'),
    "caveat-infinity": refused("Python reads it, and writes it", '{"exp":Infinity}'),
    "caveat-beyond-a-double": refused("infinite to some, an error to others", '{"exp":1e400}'),
    "caveat-fraction": refused("time.time() + 60", f'{{"exp":{SOON}.25}}'),
    "caveat-huge-number": refused("wraps around to some", f'{{"exp":{2**64 + SOON}}}'),
    "caveat-half-a-pair": refused("half a surrogate pair", '{"aud":["https://api.example","\\ud800"]}'),
    "caveat-byte-order-mark": refused("not to be written (RFC 8259 8.1)", f'\ufeff{{"exp":{SOON}}}'),
    "caveat-utf-16": refused("not UTF-8", f'{{"exp":{SOON}}}'.encode("utf-16-le")),
    "caveat-nul-after": refused("the end of the text to C", f'{{"exp":{SOON}}}\0'),
    "caveat-two-objects": refused("which of the two counts?", f'{{"exp":{SOON}}}{{"exp":1}}'),
    "caveat-comment": refused("JSON has none", f'{{"exp":{SOON}/*,"scope":"none"*/}}'),
    "caveat-nested": refused("deeper than any caveat goes", '{"aud":[["https://api.example"]]}'),
    "caveat-nested-deeply": refused("deeper than a parser goes", '{"aud":' + "[" * 1500 + "]" * 1500 + "}"),
}
