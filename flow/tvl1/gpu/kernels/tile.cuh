// How a level is cut into tiles, and how a tile lies in a block.
//
// A block of WARPS warps holds TILE_WIDTH x TILE_HEIGHT pixels. A thread holds two neighbouring
// columns of ROWS rows in registers, so a lane's neighbours to the left and right are the next
// lanes, and its neighbours above and below are mostly its own. Tiles overlap by twice the halo:
// a block may run up to `halo` iterations before it must see what its neighbours did, and then
// writes the pixels that it owns. The first and last tile of a row or column end at the border of
// the image, where the border rules are exact and no halo is needed.
#pragma once

// ROWS, WARPS, LANES and MAX_HALO come from the compiler's options: see gpu/layout.py.
#ifndef BLOCKS_PER_SM
#define BLOCKS_PER_SM 2
#endif

#define ALL_LANES 0xffffffffu
#define THREADS (WARPS * LANES)
#define TILE_WIDTH (2 * LANES)
#define TILE_HEIGHT (ROWS * WARPS)

struct Tile {
    int x, y;                                      // of its first pixel in the image
    int own_left, own_right, own_top, own_bottom;  // owned pixels, ends not included
};

struct Size {
    int width, height;
};

__device__ __forceinline__ void cut(
    int index, int count, int size, int extent, int halo, int* start, int* own_start, int* own_end)
{
    const int stride = extent - 2 * halo;
    const bool last = index == count - 1;
    *start = last ? max(size - extent, 0) : index * stride;
    *own_start = index == 0 ? 0 : index * stride + halo;
    *own_end = last ? size : (index + 1) * stride + halo;
}

__device__ __forceinline__ Tile make_tile(
    int index, int tiles_x, int tiles_y, int width, int height, int halo)
{
    Tile tile;
    cut(index % tiles_x, tiles_x, width, TILE_WIDTH, halo, &tile.x, &tile.own_left,
        &tile.own_right);
    cut(index / tiles_x, tiles_y, height, TILE_HEIGHT, halo, &tile.y, &tile.own_top,
        &tile.own_bottom);
    return tile;
}
