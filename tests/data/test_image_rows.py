from src.data.image_rows import describe_broken


def test_broken_images_are_counted_and_three_named():
    broken = {f"{name}.png": "the file is empty" for name in "abcde"}
    named = ", ".join(f"{name}.png (the file is empty)" for name in "abc")
    assert describe_broken(broken) == f"5 images cannot be read: {named} and 2 more"
    assert describe_broken({"a.png": "?"}, skipped=True) == "1 image cannot be read and is skipped: a.png (?)"
