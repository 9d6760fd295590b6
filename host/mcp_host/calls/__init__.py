"""The one pipeline that every request goes through, whichever transport it came in by."""
