"""Cases, datalists, readers and numbered draws."""
