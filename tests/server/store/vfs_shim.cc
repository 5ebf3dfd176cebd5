#include "tests/server/store/vfs_shim.h"

#include <sqlite3.h>

#include <filesystem>
#include <new>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bitquake {

struct VfsShim::Vfs {
  sqlite3_vfs vfs = {};
  sqlite3_vfs* real = nullptr;
  std::string name;
};

namespace {

// What SQLite takes for its file; the real one's bytes follow it.
struct ShimFile {
  sqlite3_file base;
  VfsShim* shim;  // null: not below the folder
  std::string* path;

  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

ShimFile* Shim(sqlite3_file* file) { return reinterpret_cast<ShimFile*>(file); }
sqlite3_file* Real(sqlite3_file* file) { return Shim(file)->real(); }
const sqlite3_io_methods* Methods(sqlite3_file* file) { return Real(file)->pMethods; }

// The hook's answer, or if that is OK, the real file's.
template <typename Hook, typename Change>
int Ask(sqlite3_file* file, Hook hook, Change change) {
  ShimFile* shim = Shim(file);
  const int code = shim->shim == nullptr ? SQLITE_OK : hook(*shim->shim, *shim->path);
  return code != SQLITE_OK ? code : change();
}

int Close(sqlite3_file* file) {
  const int code = Methods(file)->xClose(Real(file));
  delete Shim(file)->path;
  return code;
}
int Read(sqlite3_file* file, void* bytes, int size, sqlite3_int64 offset) {
  return Ask(
      file, [](VfsShim& shim, const std::string& path) { return shim.BeforeRead(path); },
      [&] { return Methods(file)->xRead(Real(file), bytes, size, offset); });
}
int Write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
  const absl::string_view written(static_cast<const char*>(bytes), static_cast<size_t>(size));
  return Ask(
      file,
      [&](VfsShim& shim, const std::string& path) {
        return shim.BeforeWrite(path, written, offset);
      },
      [&] { return Methods(file)->xWrite(Real(file), bytes, size, offset); });
}
int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  return Ask(
      file, [&](VfsShim& shim, const std::string& path) { return shim.BeforeTruncate(path, size); },
      [&] { return Methods(file)->xTruncate(Real(file), size); });
}
int Sync(sqlite3_file* file, int flags) {
  return Ask(
      file, [](VfsShim& shim, const std::string& path) { return shim.BeforeSync(path); },
      [&] { return Methods(file)->xSync(Real(file), flags); });
}
int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  return Methods(file)->xFileSize(Real(file), size);
}
int Lock(sqlite3_file* file, int lock) { return Methods(file)->xLock(Real(file), lock); }
int Unlock(sqlite3_file* file, int lock) { return Methods(file)->xUnlock(Real(file), lock); }
int CheckReservedLock(sqlite3_file* file, int* reserved) {
  return Methods(file)->xCheckReservedLock(Real(file), reserved);
}
int FileControl(sqlite3_file* file, int op, void* argument) {
  return Methods(file)->xFileControl(Real(file), op, argument);
}
int SectorSize(sqlite3_file* file) { return Methods(file)->xSectorSize(Real(file)); }
int DeviceCharacteristics(sqlite3_file* file) {
  return Methods(file)->xDeviceCharacteristics(Real(file));
}
int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** memory) {
  return Ask(
      file,
      [&](VfsShim& shim, const std::string& path) {
        return extend != 0 ? shim.BeforeGrowingSharedMemory(path) : SQLITE_OK;
      },
      [&] { return Methods(file)->xShmMap(Real(file), page, size, extend, memory); });
}
int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
  return Methods(file)->xShmLock(Real(file), offset, count, flags);
}
void ShmBarrier(sqlite3_file* file) { Methods(file)->xShmBarrier(Real(file)); }
int ShmUnmap(sqlite3_file* file, int remove) {
  return Methods(file)->xShmUnmap(Real(file), remove);
}

// Version 2: with shared memory, without mapped reads, which no hook would see.
constexpr sqlite3_io_methods kMethods = {2,
                                         Close,
                                         Read,
                                         Write,
                                         Truncate,
                                         Sync,
                                         FileSize,
                                         Lock,
                                         Unlock,
                                         CheckReservedLock,
                                         FileControl,
                                         SectorSize,
                                         DeviceCharacteristics,
                                         ShmMap,
                                         ShmLock,
                                         ShmBarrier,
                                         ShmUnmap,
                                         nullptr,
                                         nullptr};

struct Context {
  VfsShim* shim;
  sqlite3_vfs* real;
};
Context Of(sqlite3_vfs* vfs) { return *static_cast<Context*>(vfs->pAppData); }

int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
  const Context context = Of(vfs);
  auto* shim = new (file) ShimFile{{nullptr}, nullptr, nullptr};
  const int code = context.real->xOpen(context.real, name, shim->real(), flags, out);
  if (code != SQLITE_OK) {
    return code;
  }
  shim->path = new std::string(name == nullptr ? "" : name);
  shim->base.pMethods = &kMethods;
  if (absl::StartsWith(*shim->path, context.shim->folder())) {
    shim->shim = context.shim;
    context.shim->Opened(*shim->path);
  }
  return SQLITE_OK;
}
int Delete(sqlite3_vfs* vfs, const char* name, int sync) {
  const int code = Of(vfs).real->xDelete(Of(vfs).real, name, sync);
  if (code == SQLITE_OK && absl::StartsWith(name, Of(vfs).shim->folder())) {
    Of(vfs).shim->Deleted(name);
  }
  return code;
}

}  // namespace

// SQLite names files by their canonical paths.
VfsShim::VfsShim(const std::string& folder)
    : folder_(std::filesystem::canonical(folder).string() + "/"), vfs_(std::make_unique<Vfs>()) {
  vfs_->real = sqlite3_vfs_find(nullptr);
  vfs_->name = absl::StrCat("shim of ", folder_);
  vfs_->vfs = *vfs_->real;  // what is not replaced is called with the real one's data
  vfs_->vfs.szOsFile = static_cast<int>(sizeof(ShimFile)) + vfs_->real->szOsFile;
  vfs_->vfs.pNext = nullptr;
  vfs_->vfs.zName = vfs_->name.c_str();
  vfs_->vfs.pAppData = new Context{this, vfs_->real};
  vfs_->vfs.xOpen = Open;
  vfs_->vfs.xDelete = Delete;
  sqlite3_vfs_register(&vfs_->vfs, /*makeDflt=*/1);
}

VfsShim::~VfsShim() {
  sqlite3_vfs_unregister(&vfs_->vfs);
  sqlite3_vfs_register(vfs_->real, /*makeDflt=*/1);
  delete static_cast<Context*>(vfs_->vfs.pAppData);
}

void VfsShim::Opened(const std::string&) {}
int VfsShim::BeforeRead(const std::string&) { return SQLITE_OK; }
int VfsShim::BeforeWrite(const std::string&, absl::string_view, int64_t) { return SQLITE_OK; }
int VfsShim::BeforeTruncate(const std::string&, int64_t) { return SQLITE_OK; }
int VfsShim::BeforeSync(const std::string&) { return SQLITE_OK; }
int VfsShim::BeforeGrowingSharedMemory(const std::string&) { return SQLITE_OK; }
void VfsShim::Deleted(const std::string&) {}

}  // namespace bitquake
