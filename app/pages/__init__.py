"""Pages for people: server-rendered, no script needed, nothing loaded from elsewhere."""
