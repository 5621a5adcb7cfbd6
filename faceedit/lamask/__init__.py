"""The LAMask-Caption form: face pictures, 19-part masks and local captions; read, checked and built here."""
