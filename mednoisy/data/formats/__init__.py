"""Readers of file formats, one family a module; `mednoisy.data.file_formats` chooses among them."""
