"""Result files and training histories as one page for people: plots, sortable tables, and the environment."""
