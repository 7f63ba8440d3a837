/** Everything about safetensors files: reading headers, shards and small files whole, and writing. */
export {
  type RawTensorInfo,
  readSafetensors,
  readSafetensorsHeader,
  type Safetensors,
  type SafetensorsHeader,
} from "./safetensors-header.js";
export { readShardedSafetensors } from "./safetensors-shards.js";
export {
  type LoadedTensor,
  type LoadedTensors,
  readTensors,
  type TensorData,
  type TensorToWrite,
  writeSafetensors,
} from "./safetensors-write.js";
