import base64
import re

from matplotlib.figure import Figure

from src.analysis.document import Commands, Heading, Picture, Table, save_pictures, to_html, to_markdown


def blocks():
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1], [1, 0])
    return [
        Heading("Runs & results", 1),
        "a < b",
        Table(("row", "value"), [("x|y", "1")], "<>"),
        Picture("curve", "A curve.", figure),
        Commands(["python -m src.train 'optimizer.lr=1'"]),
    ]


def test_markdown_names_pictures_as_files(tmp_path):
    text = to_markdown(blocks())
    assert text.startswith("# Runs & results\n\na < b\n\n| row | value |\n| --- | ---: |\n| x\\|y | 1 |\n\n")
    assert "![A curve.](curve.png)" in text
    assert "```sh\npython -m src.train 'optimizer.lr=1'\n```" in text
    save_pictures(blocks(), tmp_path)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "curve.pdf").read_bytes().startswith(b"%PDF")
    assert len(list(tmp_path.iterdir())) == 2


def test_html_needs_no_other_file_and_escapes_text():
    page = to_html(blocks(), "Runs & results")
    assert "<title>Runs &amp; results</title>" in page and "<p>a &lt; b</p>" in page
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(data).startswith(b"\x89PNG")
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert '<td class="right short">1</td>' in page
