"""How the routes are described; a module for each of `server.routes`, whose lists name these."""
