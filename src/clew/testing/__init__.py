"""What programs that use Clew need for their own tests.

:class:`clew.testing.scripted_model.ScriptedModel` stands in for a language model,
:class:`clew.testing.server.RunningServer` runs a whole server in its own process, and the pytest
plugin offers both as the fixtures ``clew_model`` and ``clew_server``.

Nothing is imported here: the plugin is loaded by every pytest of every environment that has Clew.
"""
