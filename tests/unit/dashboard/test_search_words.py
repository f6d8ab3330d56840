"""What is typed into the search field, and where it leads."""

import pytest

from bulkport.dashboard.pages.search import read_search


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("17", "jobs/17?"),
        ("#17", "imports/17?"),
        ("job:17", "jobs/17?"),
        ("import:17", "imports/17?"),
        ("timeout of mail", "jobs?text=timeout+of+mail"),
        ("task:send_report", "jobs?task=send_report"),
        ("task:send_report,wait state:failed,retrying", "jobs?state=failed%2Cretrying&task=send_report%2Cwait"),
        ("task:a task:b", "jobs?task=a%2Cb"),
        ("is:running", "jobs?state=processing"),
        ("state:nonsense", "jobs?text=state%3Anonsense"),
        ("tag:red,blue", "jobs?tag=red%2Cblue"),
        ("tag:red tag:blue", "jobs?tag=red%2Cblue&tags=all"),
        ('user:"Ada, Bob"', "jobs?user=%22Ada%2C+Bob%22"),
        ('error:"A B",C', "jobs?error=A+B%2CC"),
        ("args.order_id:83444", "jobs?text=%22order_id%22%3A+83444"),
        ('args.order.id:"7"', "jobs?text=%22id%22%3A+%227%22"),
        ("batch:3 since:yesterday priority:5,-1", "jobs?batch=3&priority=5%2C-1&since=yesterday"),
        ("resource:products user:ada", "imports?resource=products&user=ada"),
        ('"unbalanced words', "jobs?text=unbalanced+words"),
    ],
)
def test_search_words_lead_to_the_named_page(typed: str, address: str) -> None:
    found = read_search(typed)
    assert f"{found.path}?{found.query}" == address
