// The .gsi file: everything a model needs at run time. All numbers are little endian.
//
//   offset  bytes  header
//        0      8  magic: "GSIC" 0x1a "\n" 0x00 0x01
//        8      4  format version, 1
//       12      4  number of sections, 1 to 64
//       16      8  size of the file
//       24      8  XXH64 (seed 0) of the section table
//       32         the section table, 64 bytes a section:
//                  0  32  name: ASCII, padded with NUL
//                 32   8  offset of the payload in the file
//                 40   8  bytes of the payload
//                 48   8  XXH64 (seed 0) of the payload
//                 56   8  reserved, 0
//
// Sections follow each other without gaps: the first begins at the end of the table rounded up to 4096 bytes, each
// next one at the end of the one before rounded up to 4096 bytes, and the file ends with the rounded end of the
// last. All padding is zero. Hence every byte of the file is either checked here or covered by a hash.
//
// Sections: `manifest` (JSON, `Manifest` in compiler/ir/graph.ts), `weights`, `tokenizer` (optional), and the code of
// each target under the name that the manifest gives: a CPU's is one ELF shared object; a GPU's is one code object for
// each kernel, at the places that the manifest gives.
#ifndef GSIC_SRC_BUNDLE_H
#define GSIC_SRC_BUNDLE_H

#include <string>
#include <vector>

#include "memory.h"

namespace gsic {

class Bundle {
 public:
  /// Maps the file and checks its structure and every hash; the hash of `weights` only if `verify_weights`.
  /// Throws GSIC_IO or GSIC_BAD_BUNDLE.
  Bundle(const std::string &path, bool verify_weights);

  /// The payload of a section. Throws GSIC_BAD_BUNDLE if there is none of that name.
  Bytes section(const std::string &name) const;
  /// As `section`; null data if there is none.
  Bytes find(const std::string &name) const;

  /// A copy of a section of code, which nobody can change between the look at its hash and its use. Throws as
  /// `section`, and if the hash is no longer right.
  std::vector<uint8_t> copy(const std::string &name) const;

  const std::string &path() const { return file_.path(); }
  /// Throws GSIC_IO if the file was cut since it was opened, as far as that was seen.
  void require_whole() const { file_.require_whole(); }
  /// The hash of the section table, which holds the hash of every section.
  uint64_t table_hash() const;
  /// The whole file.
  Bytes bytes() const { return file_.bytes(); }
  /// Throws GSIC_BAD_BUNDLE: "path: byte N: what".
  [[noreturn]] void refuse(uint64_t offset, const std::string &what, const std::string &hint) const;

 private:
  struct Section {
    std::string name;
    Bytes payload;
    uint64_t hash;
  };

  void check_header();
  void read_table();
  void check_zero(uint64_t begin, uint64_t end) const;
  void check_hashes(bool verify_weights) const;
  void check_hash(const Section &section, const uint8_t *payload) const;

  MappedFile file_;
  std::vector<Section> sections_;
};

}  // namespace gsic

#endif
