"""Pixel work for masks and transparent parts (G5)."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gpu import inpaint
from gpu.api import Job, Picture
from tests.gpu.pictures import gradient, job, picture, square_mask

NATIVE, MULTIPLE = 256, 32


def region(request: Job) -> inpaint.Region:
    return inpaint.region(request, NATIVE, MULTIPLE)


def masked(mask: np.ndarray, side: int = 512) -> Job:
    return job(width=side, height=side, image=picture(gradient(side)), mask=picture(mask))


def painted(where: inpaint.Region, request: Job) -> np.ndarray:
    """What comes of a model that painted everything magenta."""
    picture = Image.new("RGB", where.size, (255, 0, 255))
    return np.asarray(inpaint.compose(picture, where, request))


def test_g5_a_small_mask_is_worked_on_at_the_models_full_size() -> None:
    request = masked(square_mask(512, 200, 260))

    where = region(request)

    assert where.box == (166, 166, 128, 128)
    assert where.size == (256, 256)
    assert where.image is not None
    assert where.image.size == (256, 256)


def test_g5_a_crop_at_the_pictures_edge_stays_inside() -> None:
    mask = np.zeros((512, 512), np.uint8)
    mask[:40, 480:] = 255

    assert region(masked(mask)).box == (384, 0, 128, 128)


def test_g5_a_crop_larger_than_the_model_is_not_shrunk() -> None:
    where = region(masked(square_mask(1024, 300, 600), 1024))

    assert where.size == where.box[2:]
    assert where.box[2] > NATIVE


def test_g5_a_mask_of_most_of_the_picture_takes_the_whole() -> None:
    assert region(masked(square_mask(512, 60, 450))).box == (0, 0, 512, 512)


def test_g5_outside_of_the_mask_not_a_bit_changes() -> None:
    mask = square_mask(512, 200, 260)
    request = masked(mask)
    original = Image.fromarray(gradient(512))

    result = painted(region(request), request)

    laid_over = Image.alpha_composite(original, Image.fromarray(result))
    assert np.array_equal(np.asarray(laid_over)[mask == 0], np.asarray(original)[mask == 0])
    assert not np.array_equal(np.asarray(laid_over)[230, 230], np.asarray(original)[230, 230])
    assert result[mask == 0].max() == 0


def test_g5_the_feather_lies_inside_of_the_mask() -> None:
    mask = square_mask(512, 200, 300)
    request = masked(mask)

    alpha = painted(region(request), request)[..., 3]

    assert alpha[250, 199] == 0
    assert 0 < alpha[250, 203] < 255
    assert alpha[250, 250] == 255


def test_g5_thin_mask_strokes_are_still_painted() -> None:
    mask = np.zeros((512, 512), np.uint8)
    mask[250:254, 100:400] = 255
    request = masked(mask)

    assert painted(region(request), request)[251, 250, 3] >= 192


def test_g5_transparent_parts_become_opaque_to_their_edge() -> None:
    pixels = gradient(256)
    pixels[:, 100:, 3] = 0
    pixels[:, 99, 3] = 128
    request = job(width=256, height=256, image=picture(pixels))

    alpha = painted(region(request), request)[..., 3]

    assert alpha[:, 99:].min() == 255
    assert alpha[:, :99].max() == 0


def test_g5_a_decoder_that_is_off_in_colour_leaves_no_seam() -> None:
    pixels = np.full((256, 256, 4), 120, np.uint8)
    pixels[:, :128, 3] = 255
    pixels[:, 128:, 3] = 0
    request = job(width=256, height=256, image=picture(pixels))
    where = region(request)

    result = np.asarray(
        inpaint.compose(Image.new("RGB", (256, 256), (130, 120, 110)), where, request)
    )

    assert abs(int(result[100, 128, 0]) - 120) <= 2
    assert result[100, 250, 0] == 130


def test_g5_transparent_parts_are_filled_from_the_colours_at_their_edge() -> None:
    pixels = np.zeros((256, 256, 4), np.uint8)
    pixels[:128] = (200, 40, 40, 255)
    pixels[240:] = (20, 20, 220, 255)
    request = job(width=256, height=256, image=picture(pixels))

    image = region(request).image

    assert image is not None
    filled = np.asarray(image).astype(int)
    assert filled[130, :, 0].mean() > 150 > 100 > filled[130, :, 2].mean()
    assert filled[236, :, 2].mean() > 150 > 100 > filled[236, :, 0].mean()
    assert np.array_equal(filled[:128], pixels[:128, :, :3])


def test_g5_an_empty_mask_is_no_mask() -> None:
    where = region(masked(np.zeros((512, 512), np.uint8)))

    assert where.redo is None
    assert where.alpha is None


def test_g5_a_mask_without_a_picture_cuts_out_what_is_painted() -> None:
    mask = square_mask(256, 100, 200)
    request = job(width=256, height=256, mask=picture(mask))

    result = painted(region(request), request)

    assert result[mask == 0].max() == 0
    assert tuple(result[150, 150]) == (255, 0, 255, 255)


@pytest.mark.parametrize(
    "image",
    [
        picture(gradient(64)),
        Picture(128, 128, "RGBA", b"short"),
        picture(square_mask(128)),
    ],
)
def test_pictures_that_do_not_fit_the_job_are_refused(image: Picture) -> None:
    with pytest.raises(inpaint.PictureError, match=r"expected RGB or RGBA pixels of 128x128"):
        region(job(image=image))


def test_finished_pictures_without_a_mask_are_opaque_rgb() -> None:
    request = job(width=256, height=256)

    assert painted(region(request), request).shape == (256, 256, 3)
