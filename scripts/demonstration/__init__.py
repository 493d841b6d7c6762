"""The demonstration of what certificate-bound macaroons withstand, against real servers."""
