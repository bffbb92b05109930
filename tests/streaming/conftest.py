"""What the tests of the codecs share lies in this folder (`go_frames`)."""
