from app.main import health_check


def test_it_is_well() -> None:
    assert health_check() is True
