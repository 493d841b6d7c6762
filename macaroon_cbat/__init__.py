"""Certificate-bound macaroons."""
