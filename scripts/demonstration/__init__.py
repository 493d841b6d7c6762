"""What certificate-bound macaroons withstand, shown against real servers."""
