"""Result files and training histories as one page for people: plots, tables that sort, and the environment."""
