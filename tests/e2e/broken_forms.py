"""Every kind of form that is broken, odd or cut short, and what TorchServe answers; ``pad`` is the picture's bytes.

The picture is none, so a form that can be read gets the handler's own 415. TorchServe never frees a form that it cannot
read (500 and 403) by itself.
"""

import os
from collections.abc import Callable
from pathlib import Path

from client.server.config import ServerConfig
from client.server.local_server import find_server
from client.server.processes import server_processes

FORM, WEB_FORM = "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"
TEXT, PICTURE = 'form-data; name="text"', 'form-data; name="image"; filename="a.jpg"'
END = b"--x--\r\n"
Build = Callable[[bytes], bytes]


def padding(size: int) -> bytes:
    """Bytes that no form gives a meaning to."""
    return (b"\xff\xd8" + b"012345678" * (size // 9 + 1))[:size]


def part(data: bytes, *lines: str, disposition: str | None = TEXT, eol: str = "\r\n") -> bytes:
    head = ["--x", *([] if disposition is None else [f"Content-Disposition: {disposition}"]), *lines, "", ""]
    return eol.join(head).encode("latin-1") + data + eol.encode()


def title(*lines: str, disposition: str | None = TEXT) -> Build:
    """A good picture behind a title that is not."""
    return lambda pad: part(b"red shoe", *lines, disposition=disposition) + part(pad, disposition=PICTURE) + END


def picture(*lines: str, disposition: str | None = PICTURE) -> Build:
    return lambda pad: part(pad, *lines, disposition=disposition) + END


def nested(kind: str, inner: str = 'attachment; filename="f"') -> Build:
    begin = f"--y\r\nContent-Disposition: {inner}\r\n\r\n".encode()
    return lambda pad: part(begin + pad + b"\r\n--y--\r\n", f"Content-Type: {kind}", disposition=PICTURE[:23]) + END


def raw(before: bytes, after: bytes = b"") -> Build:
    return lambda pad: before + pad + after


CHARSET = "Content-Type: text/plain; charset="
TITLE = part(b"red shoe")
BROKEN_FORMS: dict[str, tuple[str, Build, int]] = {
    # name: Content-Type, body, status
    "a form": (FORM, title(), 415),
    "unknown charset of a title": (FORM, title(f"{CHARSET}klingon"), 500),
    "unknown charset of a picture": (FORM, picture("Content-Type: image/jpeg; charset=klingon"), 500),
    "charset with NUL": (FORM, title(f"{CHARSET}utf\0"), 500),
    "charset of no name": (FORM, title(f"{CHARSET}a b"), 403),
    "empty charset": (FORM, title(CHARSET), 403),
    "two types": (FORM, title("Content-Type: text/plain", "Content-Type: image/png; charset=klingon"), 500),
    "unknown charset of the form": (f"{FORM}; charset=klingon", title(), 403),
    "charset of the form of no name": (f"{FORM}; charset=?!", title(), 403),
    "no boundary": ("multipart/form-data", title(), 400),
    "empty boundary": ("multipart/form-data; boundary=", title(), 500),
    "boundary without a value": ("multipart/form-data; boundary", title(), 500),
    "boundary of half a quote": ('multipart/form-data; boundary="x', title(), 400),
    "another boundary": ("multipart/form-data; boundary=y", title(), 400),
    "a longer boundary": ("multipart/form-data; boundary=x1", title(), 400),
    "another multipart": ("multipart/mixed; boundary=x", title(), 415),
    "a comma in the type": ("multipart/form-data, boundary=x", title(), 415),
    "nested": (FORM, nested("multipart/mixed; boundary=y"), 415),
    "nested without a boundary": (FORM, nested("multipart/mixed"), 500),
    "nested with an empty boundary": (FORM, nested("multipart/mixed; boundary="), 400),
    "nested twice": (FORM, nested("multipart/mixed; boundary=y", 'x; name="a"\r\nContent-Type: multipart/mixed'), 500),
    "nested of another kind": (FORM, nested("multipart/related; boundary=y"), 415),
    "no name": (FORM, title(disposition="form-data"), 500),
    "no name, but a file name": (FORM, picture(disposition='form-data; filename="a"'), 500),
    "empty name": (FORM, title(disposition='form-data; name=""'), 500),
    "name without a value": (FORM, title(disposition="form-data; name"), 500),
    "name of half a quote": (FORM, title(disposition='form-data; name="text'), 415),
    "name with NUL": (FORM, title(disposition='form-data; name="te\0xt"'), 400),
    "name that is not ASCII": (FORM, title(disposition='form-data; name="t\xe9xt"'), 400),
    "no disposition": (FORM, title(disposition=None), 500),
    "no disposition, but a type": (FORM, title("Content-Type: text/plain", disposition=None), 500),
    "empty disposition": (FORM, title(disposition=""), 500),
    "disposition of another kind": (FORM, title(disposition="attachment"), 500),
    "disposition of signs": (FORM, title(disposition=";;;===;"), 500),
    "disposition without a colon": (FORM, title("Content-Disposition form-data", disposition=None), 500),
    "two dispositions": (FORM, title('Content-Disposition: form-data; name="x"'), 400),
    "empty file name": (FORM, picture(disposition='form-data; name="image"; filename=""'), 415),
    "file name with NUL": (FORM, picture(disposition=PICTURE.replace("a.", "a\0.")), 415),
    "file name of unknown charset": (FORM, picture(disposition="form-data; name=image; filename*=klingon''a"), 500),
    "file name of a broken escape": (FORM, picture(disposition="form-data; name=image; filename*=UTF-8''a%zz"), 500),
    "file name of half an escape": (FORM, picture(disposition="form-data; name=image; filename*=UTF-8''a%"), 500),
    "file name of no charset": (FORM, picture(disposition="form-data; name=image; filename*=abc"), 500),
    "file name of a charset": (FORM, picture(disposition="form-data; name=image; filename*=UTF-8''a.jpg"), 415),
    "unknown transfer encoding": (FORM, picture("Content-Transfer-Encoding: klingon"), 500),
    "unknown transfer encoding of a title": (FORM, title("Content-Transfer-Encoding: klingon"), 415),
    "base64": (FORM, title("Content-Transfer-Encoding: base64"), 415),
    "7bit": (FORM, picture("Content-Transfer-Encoding: 7bit"), 415),
    "length of no number": (FORM, picture("Content-Length: abc"), 415),
    "length too small": (FORM, picture("Content-Length: 3"), 500),
    "length too large": (FORM, picture("Content-Length: 99999999"), 415),
    "length of a title too small": (FORM, title("Content-Length: 3"), 415),
    "length of a title too large": (FORM, title("Content-Length: 99999999"), 415),
    "negative length": (FORM, picture("Content-Length: -5"), 415),
    "endless length": (FORM, title("Content-Length: 99999999999999999999"), 415),
    "empty type": (FORM, picture("Content-Type:"), 415),
    "type without a slash": (FORM, title("Content-Type: klingon"), 415),
    "type of a charset only": (FORM, picture("Content-Type: ; charset=utf-8"), 415),
    "no type": (FORM, picture(), 415),
    "header with NUL": (FORM, title("X: a\0b"), 415),
    "header that is not UTF-8": (FORM, title("X: \xff\xfe"), 415),
    "header without a colon": (FORM, title("nocolon"), 415),
    "header without a name": (FORM, title(": a"), 415),
    "long header": (
        FORM,
        raw(b'--x\r\nContent-Disposition: form-data; name="text"\r\nX: ', b"\r\n\r\na\r\n" + END),
        200,
    ),
    "long name": (FORM, raw(b'--x\r\nContent-Disposition: form-data; name="', b'"\r\n\r\na\r\n' + END), 400),
    "cut in the picture": (FORM, lambda pad: TITLE + part(pad, disposition=PICTURE)[:-5], 200),
    "cut in a header": (FORM, lambda pad: part(pad, disposition=PICTURE) + TITLE[:30], 415),
    "cut behind a header": (FORM, lambda pad: part(pad, disposition=PICTURE) + TITLE[:-10], 415),
    "cut before the end": (FORM, lambda pad: part(pad, disposition=PICTURE) + TITLE, 415),
    "cut in the end": (FORM, lambda pad: part(pad, disposition=PICTURE) + TITLE + END[:-3], 415),
    "cut in the first line": (FORM, raw(b"--"), 400),
    "empty": (FORM, lambda _: b"", 400),
    "only an end": (FORM, lambda _: END, 400),
    "more behind the end": (FORM, raw(END), 400),
    "more before the begin": (FORM, raw(b"", b"\r\n" + TITLE + END), 400),
    "more behind the form": (FORM, raw(TITLE + END), 200),
    "a boundary in a header": (FORM, lambda pad: part(pad, disposition=PICTURE) + b"--x\r\n--x\r\n" + END, 415),
    "one line": (FORM, raw(b"--x "), 400),
    "lines of LF": (FORM, lambda pad: part(pad, disposition=PICTURE, eol="\n") + b"--x--\n", 415),
    "lines of CR": (FORM, lambda pad: part(pad, disposition=PICTURE, eol="\r") + b"--x--\r", 400),
    "web form": (WEB_FORM, raw(b"text=a&image="), 415),
    "web form of a broken escape": (WEB_FORM, raw(b"text=%zz&image="), 500),
    "web form of half an escape": (WEB_FORM, raw(b"image=", b"&text=%4"), 500),
    "web form of a broken name": (WEB_FORM, raw(b"te%zzxt=a&image="), 500),
    "web form of unknown charset": (f"{WEB_FORM}; charset=klingon", raw(b"text=a&image="), 415),
    "web form of nothing": (WEB_FORM, lambda pad: b"&" * (len(pad) // 16), 500),
    "web form of values": (WEB_FORM, lambda pad: b"=" * len(pad), 500),
    "web form of a name": (WEB_FORM, raw(b"a"), 400),
    "web form of CR": (WEB_FORM, raw(b"text=a\rb&image="), 500),
    "web form of two lines": (WEB_FORM, raw(b"text=a\r\nb&image="), 200),
    "web form with NUL": (WEB_FORM, raw(b"text=\0&image="), 415),
    "web form of bytes": (WEB_FORM, raw(b"text=\xff\xfe&image="), 400),
    "web form in capitals": (WEB_FORM.upper(), raw(b"text=%zz&image="), 500),
}


def front_end_megabytes(config: ServerConfig) -> float:
    """Resident memory of a running server's front end."""
    found = find_server(config)
    assert found is not None
    [process] = [process for process, is_front_end in server_processes(found.temporary).items() if is_front_end]
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
