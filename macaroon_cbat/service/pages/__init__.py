"""Pages for people: templates and style, the headers that browsers enforce, cookies, and forms that count."""
