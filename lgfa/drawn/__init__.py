"""What drawn domains have in common, whatever they draw: world.py (all that trainings and reports
ask of one; open it first), parameters.py, captions.py, attributes.py. toon/ is such a domain."""
