"""`python -m chaos.worker`: a worker in a fresh process, so that it can run with another clock."""

from chaos.application import install

if __name__ == "__main__":
    install()
    from commandapi.cli.main import app

    app(["worker"])
