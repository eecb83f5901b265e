"""The objects that every subcommand needs: its options, the server's configuration, and clients of both APIs."""

import argparse
from contextlib import ExitStack

from client.api.inference import ProductClient
from client.api.management import Management
from client.archives.model_store import ModelStore
from client.commands.arguments import echo
from client.rollout.rollout import Rollout
from client.server.config import ServerConfig, read_config
from client.server.logs import LoadFailures


class Session:
    """One call of a subcommand.

    Args:
        options: parsed command line.
        stack: closes the connections at its end.

    Raises:
        ClientError: the configuration cannot be read.
    """

    def __init__(self, options: argparse.Namespace, stack: ExitStack) -> None:
        self.options = options
        self.config: ServerConfig = read_config(options.config)
        self.tokens = self.config.tokens(options.key_file)
        self.client = stack.enter_context(ProductClient(self.config.inference_url, tokens=self.tokens))
        self.management = stack.enter_context(Management(self.config.management_url, tokens=self.tokens))
        self.store = ModelStore(self.config.model_store)
        self.rollout = Rollout(
            self.client, self.management, self.store, LoadFailures.from_now_on(self.config.state), log=echo
        )
