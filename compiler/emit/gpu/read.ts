import type { GpuTarget } from "../../config/target.js";
import type { GpuKernelCall } from "../operands.js";
import { launchOf } from "./division.js";

/** Loads of 16 bytes that a lane has in flight: with 16 waves, 128 KB a compute unit, well above latency x bandwidth. */
const depth = 8;
/** More workgroups than any device holds at once. */
const most = 1 << 16;

const unknown = { operand: { kind: "step" }, access: "read", rows: null } as const;

/**
 * The kernel that only reads: every bundle for GPUs carries it, no program launches it, and `gsic bench` measures with
 * it what the device can read. It takes (step, data, length, sink), see templates/include/gsic/gpu/read.h.
 */
export function readKernel({ gpu }: GpuTarget): GpuKernelCall {
  const waves = gpu.wavesPerWorkgroup;
  return {
    template: "read",
    symbol: "read",
    params: {
      summary: "reads `length` bytes; sink = sums of their 32-bit words",
      shape: `data [length / 16, 16] bytes, length [1] u64, sink [workgroups, ${waves}] u32`,
      account: "no program launches it: `gsic bench` measures with it how fast the device reads",
      parameters: "const gsic_step *step, const u32x4 *data, const uint64_t *length, uint32_t *sink",
      waves,
      depth,
    },
    // What it reads is no part of the bundle: only names and types matter.
    operands: [
      { name: "step", type: "gsic_step", ...unknown },
      { name: "data", type: "const u32x4", ...unknown },
      { name: "length", type: "const uint64_t", ...unknown },
      { name: "sink", type: "uint32_t", ...unknown, access: "write" },
    ],
    launch: launchOf(gpu, waves, most, 0),
  };
}
