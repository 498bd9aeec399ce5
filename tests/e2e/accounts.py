"""Two accounts of one appliance, and nobody."""

from conftest import client, client_of

OTHER = ("AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF2Zp9Utkh3yCo8nvbEXAMPLEKEYxx")
OTHER_ACCOUNT = "444455556666"


def three(fresh, *arguments):
    """Clients of the root of its account, of the root of another, and of nobody; it is started with the arguments."""
    fresh.start()
    assert fresh.stop() == 0
    with open(fresh.directory / "credentials", "a") as credentials:
        credentials.write(
            f"[other]\naws_access_key_id = {OTHER[0]}\naws_secret_access_key = {OTHER[1]}\n"
            f"aws_account_id = {OTHER_ACCOUNT}\n"
        )
    fresh.start(*arguments)
    return client(fresh), client_of(fresh, OTHER), client_of(fresh, None)
