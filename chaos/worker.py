"""`python -m chaos.worker`: a worker that is no fork, so that it can be started under another clock."""

from chaos.application import install

if __name__ == "__main__":
    install()
    from commandapi.cli.main import app

    app(["worker"])
