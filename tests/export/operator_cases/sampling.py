"""Regions and points of images."""

from zoo.runtime import mx

S, V = mx.sym, mx.sym.var


def regions(x, item=0.0, high=30):
    """Three regions of every item: its number, and two corners up to ``high``, the first at -5 or beyond."""
    corner = S.slice_axis(S.reshape(x, (0, -1)), axis=1, begin=0, end=6).reshape((-1, 2)) * high - 5
    size = S.slice_axis(S.reshape(x, (0, -1)), axis=1, begin=6, end=12).reshape((-1, 2)) * high + 1
    numbers = S.repeat(S.contrib.arange_like(x, axis=0), repeats=3).reshape((-1, 1))
    return S.concat(numbers + item, corner, corner + size, dim=1)


def align(x, **settings):
    return S.contrib.ROIAlign(x, regions(x), pooled_size=(3, 2), spatial_scale=0.25, **settings)


def grid(x, scale):
    return S.slice_axis(x, axis=1, begin=0, end=2) * scale - scale / 2


def affine(x):
    return S.slice_axis(S.reshape(x, (0, -1)), axis=1, begin=0, end=6)


def deformed(x, operator, *mask, groups=1, **settings):
    """A convolution of the data at points up to two pixels away; the data themselves are the offsets, repeated."""
    offset = S.slice_axis(S.tile(x, (1, 9, 1, 1)), axis=1, begin=0, end=18 * groups) * 4 - 2
    parts = (x, offset, *(S.slice_axis(each, axis=1, begin=0, end=9 * groups) for each in mask))
    return operator(*parts, kernel=(3, 3), num_filter=4, num_deformable_group=groups, **settings)


CASES = [
    lambda x: align(x) + align(x, sample_ratio=2) * 2,
    lambda x: align(x, aligned=True),
    lambda x: S.ROIPooling(x - 0.5, regions(x), pooled_size=(3, 2), spatial_scale=0.5),
    lambda x: S.ROIPooling(x, S.concat(regions(x, -1), regions(x, 1), dim=0), pooled_size=(2, 2), spatial_scale=0.1),
    lambda x: S.BilinearSampler(x, grid(x, 3.5)),
    lambda x: S.BilinearSampler(x, S.GridGenerator(grid(x, 5), transform_type="warp")),
    lambda x: S.GridGenerator(affine(x), transform_type="affine", target_shape=(5, 4)),
    lambda x: S.SpatialTransformer(
        x, affine(x), target_shape=(7, 12), transform_type="affine", sampler_type="bilinear"
    ),
    lambda x: deformed(x, S.contrib.DeformableConvolution, pad=(1, 1)),
    lambda x: deformed(x, S.contrib.DeformableConvolution, pad=(2, 2), dilate=(2, 2), groups=2, no_bias=True),
    lambda x: deformed(x, S.contrib.ModulatedDeformableConvolution, S.tile(x, (1, 9, 1, 1)), pad=(1, 1), num_group=2),
    lambda x: deformed(
        x, S.contrib.ModulatedDeformableConvolution, S.tile(x, (1, 9, 1, 1)), pad=(1, 1), groups=2, no_bias=True
    ),
]
