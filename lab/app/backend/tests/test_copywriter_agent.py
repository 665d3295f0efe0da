from __future__ import annotations

from app.agents import copywriter, reviewer


def test_headline_comes_from_the_request_and_channels_from_the_strategy():
    output = copywriter.run({
        "user_request": "SNS 이미지 1개 만들어줘",
        "upstream": {"strategist": {"campaign_goal": "x", "channels": ["instagram"]}},
    })
    assert output["headline"] == "SNS 이미지 1개 만들어줘"
    assert output["channels"] == ["instagram"]
    assert output["body"].startswith("text for Advertising copy")


def test_without_a_request_the_strategy_gives_the_subject():
    assert copywriter.run({"upstream": {"strategist": {"campaign_goal": "launch"}}})["headline"] == "launch"


def test_the_reviewer_reads_the_headline():
    risky = reviewer.run({"user_request": "광고", "risk_level": "high", "upstream": {"copywriter": {"headline": "수익 100% 보장"}}})
    assert risky["verdict"] == "changes_requested"
    assert risky["findings"] == ["100%", "보장"]
    assert reviewer.run({"user_request": "광고"})["verdict"] == "approved"
