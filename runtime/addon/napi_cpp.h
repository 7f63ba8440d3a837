// node-addon-api as this addon uses it; included instead of <napi.h>.
#ifndef GSIC_ADDON_NAPI_CPP_H
#define GSIC_ADDON_NAPI_CPP_H

/// Node-API 8 is in every Node from 15.12 on: one addon fits them all.
#define NAPI_VERSION 8
#define NODE_ADDON_API_CPP_EXCEPTIONS
#define NODE_ADDON_API_DISABLE_DEPRECATED
/// A worker that is being terminated refuses to throw; without this, that would end the process.
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
#include <napi.h>

#endif
