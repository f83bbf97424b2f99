"""HTTP: who may call (`access`), what reaches a handler (`guard`), how errors answer."""
