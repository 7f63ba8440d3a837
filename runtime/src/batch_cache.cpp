// What a batch has in its cache, to a file and back.
#include <algorithm>

#include "batch.h"
#include "error.h"

namespace gsic {

CacheFileAbout Batch::about_cache() const {
  const Manifest &manifest = model().manifest();
  CacheFileAbout about;
  about.build = model().build();
  about.target = model().target().name;
  // Modes that one program decides have one cache.
  for (const auto &[name, program] : manifest.programs)
    if (&program == passes_.main().program) about.program = name;
  about.positions = manifest.cache_block;
  about.bytes = passes_.block_bytes();
  return about;
}

uint64_t Batch::save_cache(const std::string &path) {
  const Turn turn(mutex_, running_);
  const std::vector<const CacheBlock *> blocks = pool_.latest_first();
  std::map<const CacheBlock *, uint32_t> numbers;
  for (const CacheBlock *block : blocks) numbers.emplace(block, uint32_t(numbers.size() + 1));
  CacheFileAbout about = about_cache();
  about.blocks = blocks.size();
  const auto staging = model().device().staging(about.bytes, "a block of the KV cache");
  uint64_t tokens = 0;
  write_cache_file(path, about, [&](uint64_t index) {
    const CacheBlock &block = *blocks[index];
    const auto before = numbers.find(block.before);
    const uint8_t *place = passes_.cache() + size_t(block.place) * sizeof(float);
    tokens += block.tokens.size();
    return CacheFileBlock{before == numbers.end() ? 0 : before->second, block.tokens,
                          model().device().read(place, staging->address(0), about.bytes)};
  });
  return tokens;
}

uint64_t Batch::load_cache(const std::string &path) {
  const Turn turn(mutex_, running_);
  if (pool_.held() + pool_.kept() > 0)
    throw Error(GSIC_INVALID_ARGUMENT, "the batch has something in its cache", "load a file before the first request");
  const CacheFileAbout about = about_cache();
  const CacheFile file(path, about, model().manifest().vocabulary);
  std::vector<CacheBlock *> taken;
  uint64_t tokens = 0;
  const auto let_go = [&] {
    for (; !taken.empty(); taken.pop_back()) pool_.release(taken.back());
  };
  try {
    // What was used last comes first, so that it is the rest that finds no room.
    for (uint64_t i = 0; i < file.blocks(); i++) {
      const CacheFileBlock &block = file.block(i);
      CacheBlock *const own = pool_.take(block.before == 0 ? pool_.root() : taken[block.before - 1]);
      if (own == nullptr) break;
      taken.push_back(own);
      model().device().write(passes_.cache() + size_t(own->place) * sizeof(float), block.data, about.bytes);
      file.require_whole();
      own->tokens = block.tokens;
      tokens += own->tokens.size();
    }
  } catch (...) {
    for (CacheBlock *block : taken) block->tokens.clear();
    let_go();
    throw;
  }
  let_go();
  settle();
  return tokens;
}

}  // namespace gsic
