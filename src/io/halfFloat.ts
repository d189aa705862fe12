/**
 * 16-bit floats: conversion of whole arrays, both ways, rounding to nearest even.
 *
 * @since 0.1.0
 */

const bits = new Uint32Array(1)
const float = new Float32Array(bits.buffer)

const decodeHalf = (half: number): number => {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >>> 10) & 0x1f
  const mantissa = half & 0x3ff
  if (exponent === 0x1f) return mantissa === 0 ? sign * Infinity : NaN
  if (exponent === 0) return sign * mantissa * 2 ** -24
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15)
}

let table: Float32Array | undefined

// All 65,536 halves: a look-up is several times faster than taking the bits apart.
const halves = (): Float32Array => table ??= Float32Array.from({ length: 65536 }, (_, half) => decodeHalf(half))

/** Half floats (as their 16 bits) → 32-bit floats; exact. */
export const fromHalf = (halfBits: Uint16Array): Float32Array => {
  const known = halves()
  const values = new Float32Array(halfBits.length)
  for (let i = 0; i < values.length; i++) values[i] = known[halfBits[i]!]!
  return values
}

const subnormalHalf = (magnitude: number): number => {
  const shift = 126 - (magnitude >>> 23)
  if (shift > 24) return 0
  const mantissa = (magnitude & 0x7fffff) | 0x800000
  const kept = mantissa >>> shift
  const rest = mantissa & ((1 << shift) - 1)
  const tie = 1 << (shift - 1)
  return rest > tie || (rest === tie && (kept & 1) === 1) ? kept + 1 : kept
}

/** The 16 bits nearest to a 32-bit float given by its bits; ties to even, beyond ±65,504 (rounded) to infinity. */
const halfOfBits = (x: number): number => {
  const sign = (x >>> 16) & 0x8000
  const magnitude = x & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude < 0x38800000) return sign | subnormalHalf(magnitude)
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
}

/** One 32-bit float → the 16 bits of the nearest half. */
export const toHalfBits = (value: number): number => {
  float[0] = value
  return halfOfBits(bits[0]!)
}

/** 32-bit floats → half floats (as their 16 bits), rounded to nearest even. */
export const toHalf = (values: Float32Array): Uint16Array => {
  const source = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const halfBits = new Uint16Array(values.length)
  for (let i = 0; i < halfBits.length; i++) halfBits[i] = halfOfBits(source[i]!)
  return halfBits
}

/** bfloat16 (the upper 16 bits of a 32-bit float) → 32-bit floats; exact. */
export const fromBrainFloat = (brainBits: Uint16Array): Float32Array => {
  const values = new Float32Array(brainBits.length)
  const target = new Uint32Array(values.buffer)
  for (let i = 0; i < target.length; i++) target[i] = brainBits[i]! << 16
  return values
}
