"""Parse a multipart form as it arrives. Pure: bytes in, fields and the file's bytes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from scrivano.domain.errors import BadRequest, MultipartError
from scrivano.submission.file_names import parse_filename
from scrivano.submission.form_fields import FormFields

__all__ = ["Form", "FormParser"]

# All fields are held in memory: one field, and all of them together (without those for which more is allowed).
MAX_FIELD_BYTES = 64 * 1024
MAX_FIELDS_BYTES = 1024 * 1024

MAX_PARTS = 1000
# Values of a field for which a caller allows more.
MAX_LONG_VALUES = 4
# A file part that has no file name, no type and no more than so much text is no recording: `curl -F audio=talk.mp3`,
# which lacks an @.
MAX_TEXT_BYTES = 1024
# Of such a text, an error shows so much.
MAX_SHOWN_CHARS = 80


@dataclass(frozen=True, slots=True)
class Form:
    """A form, or what has arrived of it. `has_file`: the file part has started; `file_bytes` of it have arrived.
    `filename`: as the client named the file. `misplaced`: the name of another field that contains a file. `text`: what
    the file part has, if it is a short text that was not sent as a file."""

    fields: FormFields
    has_file: bool
    file_bytes: int
    filename: str | None
    misplaced: str | None = None
    text: str | None = None

    def check_file(self, file_field: str) -> None:
        """Raises `BadRequest` if the file is missing or empty, or was forgotten: its name was sent instead."""
        if not self.has_file:
            where = f": the recording belongs in '{file_field}'; this request has it in '{self.misplaced}'"
            raise BadRequest(f"missing '{file_field}' field{where if self.misplaced is not None else ''}")
        if not self.file_bytes:
            raise BadRequest(f"{file_field} field is empty")
        if self.text is not None:
            raise BadRequest(
                f"{file_field} is the text {self.text[:MAX_SHOWN_CHARS]!r}, not a recording: send the file itself, with"
                f" curl as -F {file_field}=@FILE (with the @)"
            )


class FormParser:
    """`file_field`: the name of the part that is the file; None: there is none. `on_file_data` is called with each
    piece of the file; its memoryview is valid during the call only. `long_fields`: names of fields whose values may be
    longer than others, and how many bytes each; there may be `MAX_LONG_VALUES` of each."""

    def __init__(
        self,
        content_type: str,
        file_field: str | None,
        on_file_data: Callable[[memoryview], None],
        long_fields: Mapping[str, int] | None = None,
    ) -> None:
        """Raises `MultipartError` if the content type is not that of a multipart form."""
        boundary = _boundary(content_type, file_field)
        self._file_field = file_field
        self._on_file_data = on_file_data
        self._long_fields = long_fields or {}
        self._long_values: Counter[str] = Counter()
        self._values: dict[str, list[str]] = {}
        self._has_file = False
        self._file_bytes = 0
        self._filename: str | None = None
        self._text: bytes | None = None
        self._misplaced: str | None = None
        self._parts = 0
        self._fields_bytes = 0
        # Of the part that is being parsed.
        self._header = b""
        self._headers: dict[bytes, bytes] = {}
        self._name: str | None = None
        self._value = bytearray()
        self._is_file = False
        self._is_discarded = False
        self._long_bytes: int | None = None
        self._complete = False
        with _parser_errors():
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._start_part,
                    "on_header_field": self._add_header_name,
                    "on_header_value": self._add_header_value,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end_form,
                },
            )

    @property
    def form(self) -> Form:
        """What has arrived so far."""
        return Form(
            FormFields(self._values),
            self._has_file,
            self._file_bytes,
            self._filename,
            self._misplaced,
            _printable(self._text),
        )

    def write(self, data: bytes) -> None:
        """Parse more of the body. Raises `MultipartError`, and what `on_file_data` raises."""
        with _parser_errors():
            self._parser.write(data)

    def finish(self) -> Form:
        """The whole form, after the last byte. Raises `MultipartError` if there is no closing boundary."""
        with _parser_errors():
            self._parser.finalize()
        if not self._complete:
            raise MultipartError("multipart error: the body ends before its closing boundary")
        return self.form

    def _start_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MultipartError(f"multipart error: more than {MAX_PARTS} fields")
        self._headers, self._header, self._name, self._value = {}, b"", None, bytearray()
        self._is_file = self._is_discarded = False
        self._long_bytes = None

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        # A name may arrive in several pieces. If it has a value already, this is the first piece of another name.
        if self._header in self._headers:
            self._header = b""
        self._header += data[start:end].lower()

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._headers[self._header] = self._headers.get(self._header, b"") + data[start:end]

    def _end_headers(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        if b"name" not in options:
            raise MultipartError("multipart error: a part has no name")
        self._name = options[b"name"].decode(errors="replace")
        filename = parse_filename(disposition, options.get(b"filename"))
        if self._name == self._file_field:
            if self._has_file:
                raise MultipartError(f"multipart error: more than one '{self._file_field}' field")
            self._has_file = True
            self._filename = filename
            self._text = b"" if filename is None and b"content-type" not in self._headers else None
            return
        self._is_file = filename is not None or _is_media(self._headers.get(b"content-type", b""))
        self._long_bytes = self._long_limit(self._name.partition("[")[0])

    def _long_limit(self, name: str) -> int | None:
        """How long a value of a long field may be; None: the part is another field."""
        if name in self._long_fields:
            self._long_values[name] += 1
            if self._long_values[name] > MAX_LONG_VALUES:
                raise MultipartError(f"more than {MAX_LONG_VALUES} values of '{name}': send {MAX_LONG_VALUES} at most")
        return self._long_fields.get(name)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        size_bytes = end - start
        if self._name == self._file_field:
            self._file_bytes += size_bytes
            if self._text is not None:
                self._text = self._text + data[start:end] if self._file_bytes <= MAX_TEXT_BYTES else None
            self._on_file_data(memoryview(data)[start:end])
        elif not self._is_discarded:
            self._add_to_value(data, start, end)

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        """A script may send text as a file (`Blob`), so a short file is a value, too; a long one is discarded."""
        if self._long_bytes is not None:
            self._add_to_long_value(data[start:end], self._long_bytes)
            return
        if self._is_file and self._misplaced is None:
            self._misplaced = self._name
        is_long = len(self._value) + end - start > MAX_FIELD_BYTES
        are_long = self._fields_bytes + end - start > MAX_FIELDS_BYTES
        if self._is_file and (is_long or are_long):
            self._fields_bytes -= len(self._value)
            self._is_discarded = True
            return
        if is_long:
            longer = f"; only '{self._file_field}' may be longer" if self._file_field is not None else ""
            raise MultipartError(
                f"multipart error: field '{self._name}' is longer than {MAX_FIELD_BYTES} bytes{longer}"
            )
        if are_long:
            raise MultipartError(f"multipart error: the fields are together longer than {MAX_FIELDS_BYTES} bytes")
        self._fields_bytes += end - start
        self._value += data[start:end]

    def _add_to_long_value(self, data: bytes, limit: int) -> None:
        if len(self._value) + len(data) > limit:
            raise MultipartError(f"multipart error: field '{self._name}' is longer than {limit} bytes")
        self._value += data

    def _end_part(self) -> None:
        if self._name is not None and self._name != self._file_field and not self._is_discarded:
            self._values.setdefault(self._name, []).append(self._value.decode(errors="replace"))

    def _end_form(self) -> None:
        self._complete = True


@contextmanager
def _parser_errors() -> Iterator[None]:
    """Raises the errors of the library as `MultipartError`. Its constructor, too, has some: for a long boundary."""
    try:
        yield
    except FormParserError as error:
        raise MultipartError(f"multipart error: {error}") from error


def _printable(data: bytes | None) -> str | None:
    """The data as a text of one or more lines; None: it is none."""
    try:
        text = "" if data is None else data.decode()
    except UnicodeDecodeError:
        return None
    return text if text and all(char.isprintable() or char.isspace() for char in text) else None


def _boundary(content_type: str, file_field: str | None) -> bytes:
    """Raises `MultipartError`, which says what to send."""
    kind, options = parse_options_header(content_type)
    send = "send the fields as multipart/form-data, as curl -F NAME=VALUE does"
    if file_field is not None:
        send = f"send multipart/form-data with the recording in '{file_field}', as curl -F {file_field}=@FILE does"
    if not kind:
        raise MultipartError(f"multipart error: the request has no Content-Type: {send}")
    if kind != b"multipart/form-data":
        raise MultipartError(f"multipart error: the body is {kind.decode(errors='replace')}: {send}")
    if boundary := options.get(b"boundary"):
        return boundary
    raise MultipartError(
        "multipart error: the Content-Type has no boundary: do not set this header yourself, so that your HTTP library"
        f" adds the boundary, or {send}"
    )


def _is_media(content_type: bytes) -> bool:
    kind = content_type.strip().lower()
    return kind.startswith((b"audio/", b"video/", b"application/octet-stream"))
