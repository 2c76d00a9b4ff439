"""Names of files that are no supported picture, by their first bytes, and what to do with them."""

import re

SUPPORTED = "JPEG, PNG, WEBP, AVIF, GIF, BMP or TIFF"
_SEEN_BYTES = 4096
_CONVERT = "Convert it to JPEG or PNG"
_BRAND = r"....ftyp(?:....){{0,20}}?(?:{})"  # major or compatible brand of ISO/IEC 14496-12
# Byte order mark, comments, processing instructions and document types may come before the first element. The atomic
# groups keep it linear in hostile files.
_DOCTYPE = r"(?><!(?i:doctype)\s[^<>\[]*(?:\[.*?\]\s*)?>)"
_PROLOGUE = r"(?:\xef\xbb\xbf)?\s*+(?:(?:(?><!--.*?-->)|(?><\?.*?\?>)|" + _DOCTYPE + r")\s*+)*+"

_PICTURES = {
    "a HEIC picture, as phones save it": _BRAND.format("hei[cxms]|hev[cmsx]|mif[12]|msf1"),
    "a JPEG XL picture": r"\xff\x0a|\x00\x00\x00\x0cJXL \r\n",
    "a JPEG 2000 picture": r"\x00\x00\x00\x0cjP  \r\n|\xff\x4f\xff\x51",
    "an SVG drawing": _PROLOGUE + r"<(?:\w+:)?svg[\s>/]",
    "a Photoshop document": r"8BPS",
    "a GIMP document": r"gimp xcf",
    "a PDF document": r"\s*%PDF",
    "a PostScript document": r"%!PS|\xc5\xd0\xd3\xc6",
    "a raw picture of a Canon camera": r"II\*\x00....CR|" + _BRAND.format("crx "),
    "a raw picture of a Fujifilm camera": r"FUJIFILMCCD-RAW",
    "a raw picture of an Olympus camera": r"IIR[OS]|MMOR",
    "a raw picture of a Panasonic camera": r"IIU\x00",
    "an OpenEXR picture": r"\x76\x2f\x31\x01",
    "a Radiance HDR picture": r"#\?RADIANCE|#\?RGBE",
    "a DirectDraw surface": r"DDS ",
    "a QOI picture": r"qoif",
    "a PNM picture": r"P[1-7][\s#]",
    "an icon": r"\x00\x00[\x01\x02]\x00[^\x00]\x00",
    "a DICOM picture": r".{128}DICM",
}
_VIDEOS = {
    "an MP4 or MOV clip": _BRAND.format("isom|iso[2-9]|mp4[12]|M4V |qt  |avc1|3gp.|dash"),
    "a WebM or Matroska clip": r"\x1a\x45\xdf\xa3",
    "an AVI clip": r"RIFF....AVI ",
}
_OTHERS = {
    "a web page, perhaps the login page of its server": _PROLOGUE + r"<(?i:html)|\s*<(?i:!doctype html)",
    "XML": r"(?:\xef\xbb\xbf)?\s*<(?:\?xml|!--|\w+[\s>:])",
    "JSON": r"(?:\xef\xbb\xbf)?\s*[{\[]",
    "a Git LFS pointer, not the file itself": r"version https://git-lfs",
    "a ZIP archive": r"PK\x03\x04",
    "a gzip archive": r"\x1f\x8b",
}
_KINDS = [
    (re.compile(pattern.encode("latin-1"), re.DOTALL), name, remedy)
    for kinds, remedy in (
        (_PICTURES, _CONVERT),
        (_VIDEOS, "Use a Video tag for clips"),
        (_OTHERS, f"Use a {SUPPORTED} file"),
    )
    for name, pattern in kinds.items()
]


def what_it_is(data: bytes) -> str:
    """Return what a file is and what to do, as the end of a sentence; for files of no supported format."""
    if not data:
        return f"is empty. Use a {SUPPORTED} file"
    start = data[:_SEEN_BYTES]
    if start[:2] in {b"\xff\xfe", b"\xfe\xff"}:  # text in UTF-16
        start = start.decode("utf-16", "ignore").encode("utf-8")
    for pattern, name, remedy in _KINDS:
        if pattern.match(start):
            return f"is {name}. {remedy}"
    return f"is in none of the supported formats. Use a {SUPPORTED} file"
