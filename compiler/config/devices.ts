import type { DeviceKind } from "../ir/program.js";
import { cpuConfig } from "./cpu.js";
import type { DeviceConfig } from "./device-config.js";
import { gpuConfig } from "./gpu.js";
import type { Target, TargetOf } from "./target.js";

/** What each kind of device asks of its targets. */
export const devices: { readonly [Kind in DeviceKind]: DeviceConfig<TargetOf<Kind>> } = {
  cpu: cpuConfig,
  hip: gpuConfig("hip"),
  cuda: gpuConfig("cuda"),
};

/** That of a target's kind. */
export function configFor<T extends Target>({ device }: T): DeviceConfig<T> {
  // An entry takes the targets of its kind, which the type checker cannot follow.
  return devices[device] as unknown as DeviceConfig<T>;
}

/** Whether `gsic bench --tune` has anything to measure on a kind of device. */
export function isTunable(device: DeviceKind): boolean {
  return devices[device].divided !== null;
}

/**
 * What one set of kernels for several targets of a kind is shaped by: the first of them, with no more of anything than all
 * have.
 */
export function commonTarget<T extends Target>(targets: readonly T[]): T {
  return configFor(targets[0]!).common(targets);
}
