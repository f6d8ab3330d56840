"""Text and JSON to typed values, exactly, and values to the text that COPY reads. Pure: no input or output."""
