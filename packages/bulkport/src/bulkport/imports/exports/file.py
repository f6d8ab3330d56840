"""An export as a workbook or a Parquet file."""

from collections.abc import AsyncIterator

from bulkport.database.row_security import Connections
from bulkport.imports.exports.file_columns import excel_kinds, parquet_kinds, parquet_values
from bulkport.imports.exports.pages import Export, PageText
from bulkport.imports.exports.query import ExportQuery
from bulkport.imports.exports.writing import FileFormat, require_writer, written_file
from bulkport.imports.writing.table import TargetTable


class ExportedFile:
    """The rows of a resource's table as one file. This process holds a page in memory, the writer a row group.

    Parameters
    ----------
    null_word:
        The text for null in the cells of a workbook.
    folder:
        Where a workbook grows until it is complete; None: the system's folder for temporary files.

    Raises
    ------
    NotConfigured
        The extra that writes such files is not installed.
    """

    def __init__(
        self,
        pool: Connections,
        table: TargetTable,
        query: ExportQuery,
        file_format: FileFormat,
        *,
        null_word: str = "",
        folder: str | None = None,
    ) -> None:
        require_writer(file_format)
        self._pool = pool
        self._table = table
        self._query = query
        self._format = file_format
        self._folder = folder
        self._null_word = null_word if file_format is FileFormat.XLSX else ""

    async def parts(self) -> AsyncIterator[bytes]:
        """The file, a part at a time; see `written_file`.

        Raises
        ------
        ValidationFailed
            The rows do not fit into such a file; raised before the first part.
        ServiceUnavailable
            The process that writes it failed.
        """
        async with self._pool.connection() as connection:
            if self._format is FileFormat.XLSX:
                kinds, values = await excel_kinds(connection, self._table, self._query), None
            else:
                kinds = await parquet_kinds(connection, self._table, self._query)
                values = parquet_values(self._table, kinds)
        export = Export(self._pool, self._table, self._query, null_word=self._null_word, values=values)
        columns = list(zip(export.header, kinds, strict=True))
        pages = export.pages(PageText.CSV)
        async for part in written_file(self._format, columns, pages, null_word=self._null_word, folder=self._folder):
            yield part
