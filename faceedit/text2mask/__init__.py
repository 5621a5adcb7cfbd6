"""The Text2Mask form: face pictures, a soft mask of every region, and texts that mean it; read and built here."""
