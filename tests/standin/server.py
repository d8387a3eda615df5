"""The server, as far as nodes talk to it."""


class PromptServer:
    def send_progress_text(self, text, node_id, sid=None):
        pass
