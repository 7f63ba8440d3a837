import type { DeviceKind } from "../ir/program.js";
import { cpuLayout } from "./cpu.js";
import { gpuLayout } from "./gpu.js";
import type { MatrixLayout } from "./matrix-layout.js";

/** The layout of each kind of device. */
export const layouts: Readonly<Record<DeviceKind, MatrixLayout>> = {
  cpu: cpuLayout,
  hip: gpuLayout,
  cuda: gpuLayout,
};

/** One kind of device for each distinct layout. */
export const layoutKinds: readonly DeviceKind[] = [
  ...new Map(Object.entries(layouts).map(([kind, layout]) => [layout, kind as DeviceKind])).values(),
];
