from PIL import Image

from src.data.class_folders import list_images


def test_lists_size_and_time_by_which_a_changed_file_is_noticed(tmp_path):
    path = tmp_path / "red" / "0.png"
    path.parent.mkdir()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(path)
    (image,) = list_images(str(tmp_path)).images
    assert (image.path, image.label) == (str(path), 0)
    assert (image.size, image.modified) == (path.stat().st_size, path.stat().st_mtime_ns)
