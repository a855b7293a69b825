"""A percentage that is raised on evidence, and taken back on evidence: who decides, and how."""
