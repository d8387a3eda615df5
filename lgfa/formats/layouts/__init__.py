"""One file for each project whose files are read, named for it, with its FORMATS; registry.py has
the list. stylegan2.py is shared by three of them, refused.py knows what cannot be used."""
