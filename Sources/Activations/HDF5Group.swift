import CHDF5
import Foundation

/// How a data set is laid out in its file.
package struct HDF5Layout {
    package var type: HDF5Type
    package var shape: [Int]
    /// Of the same rank as `shape`; nil for one contiguous piece.
    package var chunk: [Int]?
    /// Dimensions that may grow later; needs chunks.
    package var extendable: Set<Int> = []
    /// Shuffle and deflate at this level; needs chunks.
    package var deflate: Int?

    package init(
        type: HDF5Type, shape: [Int], chunk: [Int]? = nil, extendable: Set<Int> = [],
        deflate: Int? = nil
    ) {
        self.type = type
        self.shape = shape
        self.chunk = chunk
        self.extendable = extendable
        self.deflate = deflate
    }
}

/// A group: names of groups and data sets.
package final class HDF5Group: HDF5Object {
    private func child(_ name: String) -> String {
        self.name.isEmpty ? name : self.name + "/" + name
    }

    /// Whether there is a group or data set of this name, which holds no slash.
    package func has(_ name: String) -> Bool { H5Lexists(id, name, 0) > 0 }

    /// The names in this group, in the order of their bytes.
    package func members() throws(ActivationError) -> [String] {
        var info = H5G_info_t()
        try check(H5Gget_info(id, &info), path, name, "list")
        var names: [String] = []
        for index in 0..<info.nlinks {
            let length = H5Lget_name_by_idx(
                id, ".", H5_INDEX_NAME, H5_ITER_INC, index, nil, 0, 0)
            guard length >= 0 else {
                throw .hdf5(path: path, place: name, operation: "list", reason: HDF5.reason)
            }
            var buffer = [CChar](repeating: 0, count: length + 1)
            H5Lget_name_by_idx(
                id, ".", H5_INDEX_NAME, H5_ITER_INC, index, &buffer, length + 1, 0)
            names.append(
                String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            )
        }
        return names
    }

    /// A link leads to whatever a file says, other files at absolute paths among it; a dump holds its
    /// groups and data sets itself.
    private func refuseLink(_ name: String) throws(ActivationError) {
        guard has(name), etd_h5_is_hard_link(id, name) == 0 else { return }
        throw .invalid(
            path: path,
            problem:
                "\(child(name)) is a link to elsewhere, and a dump holds its own data; write it as a "
                + "dump of its own (h5repack)")
    }

    /// A link that leads elsewhere is of no kind.
    private func isKind(_ name: String, _ kind: H5I_type_t) -> Bool {
        guard has(name), etd_h5_is_hard_link(id, name) > 0 else { return false }
        let object = H5Oopen(id, name, 0)
        guard object >= 0 else { return false }
        defer { H5Oclose(object) }
        return H5Iget_type(object) == kind
    }

    /// Copies a member of this group, with all that it holds, into another file's group.
    package func copy(_ name: String, into other: HDF5Group) throws(ActivationError) {
        try check(
            H5Ocopy(id, name, other.id, name, 0, 0), path, child(name), "copy")
    }

    package func isGroup(_ name: String) -> Bool { isKind(name, H5I_GROUP) }
    package func isDataSet(_ name: String) -> Bool { isKind(name, H5I_DATASET) }

    package func makeGroup(_ name: String) throws(ActivationError) -> HDF5Group {
        let place = child(name)
        let creation = try HDF5Handle(etd_h5_group_creation(), path, place, close: H5Pclose)
        H5Pset_obj_track_times(creation.id, false)
        let group = try HDF5Handle(
            H5Gcreate2(id, name, 0, creation.id, 0), path, place, "create", close: H5Gclose)
        return HDF5Group(path: path, name: place, handle: group)
    }

    /// - Throws: `.invalid` if it is missing or something else.
    package func group(_ name: String) throws(ActivationError) -> HDF5Group {
        try refuseLink(name)
        guard isGroup(name) else {
            throw .invalid(path: path, problem: "has no group \(child(name))")
        }
        let group = try HDF5Handle(
            H5Gopen2(id, name, 0), path, child(name), "open", close: H5Gclose)
        return HDF5Group(path: path, name: child(name), handle: group)
    }

    /// - Throws: `.invalid` if it is missing or something else.
    package func dataSet(_ name: String) throws(ActivationError) -> HDF5DataSet {
        try refuseLink(name)
        guard isDataSet(name) else {
            throw .invalid(path: path, problem: "has no data set \(child(name))")
        }
        let access = try HDF5Handle(etd_h5_dataset_access(), path, child(name), close: H5Pclose)
        // Names of a virtual data set's files are relative to the file that holds it.
        H5Pset_virtual_prefix(access.id, "${ORIGIN}")
        func open() throws(ActivationError) -> HDF5DataSet {
            let set = try HDF5Handle(
                H5Dopen2(id, name, access.id), path, child(name), "open", close: H5Dclose)
            return try HDF5DataSet(path: path, name: child(name), set: set)
        }
        // Without a cache, whole chunks go straight to where they are read to. Filtered ones are kept
        // instead, since every reading of a part would undo the filter again.
        H5Pset_chunk_cache(access.id, 521, 0, 0)
        let set = try open()
        guard set.isFiltered else { return set }
        H5Pset_chunk_cache(access.id, 521, 16 << 20, 0.75)
        return try open()
    }

    package func makeDataSet(
        _ name: String, _ layout: HDF5Layout
    ) throws(ActivationError) -> HDF5DataSet {
        let place = child(name)
        let creation = try HDF5Handle(etd_h5_dataset_creation(), path, place, close: H5Pclose)
        H5Pset_obj_track_times(creation.id, false)
        if let chunk = layout.chunk {
            var sizes = chunk.map(hsize_t.init)
            try check(H5Pset_chunk(creation.id, Int32(chunk.count), &sizes), path, place, "lay out")
        }
        if let level = layout.deflate {
            try check(H5Pset_shuffle(creation.id), path, place, "lay out")
            try check(H5Pset_deflate(creation.id, UInt32(level)), path, place, "lay out")
        }
        var most = layout.shape.map(hsize_t.init)
        for dimension in layout.extendable { most[dimension] = etd_h5_unlimited() }
        return try make(name, layout.type, layout.shape, most, creation)
    }

    /// A data set whose content stands in other files: block `i` covers the positions
    /// `blocks[i].start ..< + blocks[i].count` of dimension 1 and is the whole data set `source` of
    /// `blocks[i].file`, a name relative to this file.
    package func makeVirtualDataSet(
        _ name: String, type: HDF5Type, shape: [Int], source: String,
        blocks: [(file: String, start: Int, count: Int)], fill: UnsafeRawPointer
    ) throws(ActivationError) -> HDF5DataSet {
        let place = child(name)
        let creation = try HDF5Handle(etd_h5_dataset_creation(), path, place, close: H5Pclose)
        H5Pset_obj_track_times(creation.id, false)
        let stored = try type.handle(path)
        try check(H5Pset_fill_value(creation.id, stored.id, fill), path, place, "lay out")
        for block in blocks {
            var sizes = shape.map(hsize_t.init)
            let whole = try HDF5Handle(
                H5Screate_simple(Int32(shape.count), &sizes, nil), path, place, close: H5Sclose)
            var start = [hsize_t](repeating: 0, count: shape.count)
            start[1] = hsize_t(block.start)
            sizes[1] = hsize_t(block.count)
            try check(
                H5Sselect_hyperslab(whole.id, H5S_SELECT_SET, &start, nil, &sizes, nil), path,
                place,
                "lay out")
            let part = try HDF5Handle(
                H5Screate_simple(Int32(shape.count), &sizes, nil), path, place, close: H5Sclose)
            try check(
                H5Pset_virtual(creation.id, whole.id, block.file, source, part.id), path, place,
                "lay out")
        }
        return try make(name, type, shape, shape.map(hsize_t.init), creation)
    }

    private func make(
        _ name: String, _ type: HDF5Type, _ shape: [Int], _ most: [hsize_t], _ creation: HDF5Handle
    ) throws(ActivationError) -> HDF5DataSet {
        let place = child(name)
        var sizes = shape.map(hsize_t.init)
        var most = most
        let space = try HDF5Handle(
            H5Screate_simple(Int32(shape.count), &sizes, &most), path, place, close: H5Sclose)
        let stored = try type.handle(path)
        let access = try HDF5Handle(etd_h5_dataset_access(), path, place, close: H5Pclose)
        // Without a cache, chunks stand in the file in the order they were written.
        H5Pset_chunk_cache(access.id, 521, 0, 0)
        let set = try HDF5Handle(
            H5Dcreate2(id, name, stored.id, space.id, 0, creation.id, access.id), path, place,
            "create", close: H5Dclose)
        return try HDF5DataSet(path: path, name: place, set: set)
    }

    /// A data set with these values.
    @discardableResult
    package func write<T: HDF5Scalar>(
        _ name: String, _ values: [T], shape: [Int]? = nil, chunk: [Int]? = nil,
        extendable: Set<Int> = [], deflate: Int? = nil
    ) throws(ActivationError) -> HDF5DataSet {
        let set = try makeDataSet(
            name,
            HDF5Layout(
                type: T.storedType, shape: shape ?? [values.count], chunk: chunk,
                extendable: extendable, deflate: deflate))
        try set.write(values)
        return set
    }

    /// A data set of texts: of fixed length in bytes where `length` is given.
    ///
    /// HDF5's texts of any length end at U+0000. Where one holds it, all are stored as long as the longest,
    /// deflated, with zeros behind them; how many zeros at the end are the text's own stands in the
    /// attribute `ends_in_nul`, as pairs of a row and a number.
    @discardableResult
    package func write(
        _ name: String, texts: [String], length: Int? = nil, chunk: [Int]? = nil,
        extendable: Set<Int> = []
    ) throws(ActivationError) -> HDF5DataSet {
        let holdsNul = length == nil && texts.contains { $0.utf8.contains(0) }
        guard holdsNul else {
            let type = length.map(HDF5Type.string) ?? .text
            let set = try makeDataSet(
                name,
                HDF5Layout(type: type, shape: [texts.count], chunk: chunk, extendable: extendable))
            try set.write(texts: texts, length: length)
            return set
        }
        let longest = texts.map(\.utf8.count).max() ?? 1
        let rows = max(1, min(texts.count, HDF5DataSet.textBytes / longest))
        let set = try makeDataSet(
            name,
            HDF5Layout(
                type: .string(longest), shape: [texts.count], chunk: [rows],
                extendable: extendable, deflate: 1))
        try set.write(texts: texts, length: longest)
        var ends: [Int64] = []
        for (row, text) in texts.enumerated() {
            let zeros = text.utf8.reversed().prefix { $0 == 0 }.count
            if zeros > 0 { ends += [Int64(row), Int64(zeros)] }
        }
        if !ends.isEmpty { try set.set(HDF5DataSet.endsInNul, ends) }
        return set
    }
}
