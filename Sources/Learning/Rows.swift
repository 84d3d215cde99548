/// Arithmetic on rows of floats, eight lanes at a time.
///
/// Products are added with `*` and `+` in two steps: at the baseline target a fused `addProduct` would call the C
/// library for each lane.
public enum Rows {
    @usableFromInline typealias Lanes = SIMD8<Float>

    @inlinable @inline(__always)
    static func load(_ row: UnsafePointer<Float>, _ index: Int) -> Lanes {
        UnsafeRawPointer(row + index).loadUnaligned(as: Lanes.self)
    }

    @inlinable @inline(__always)
    static func store(_ lanes: Lanes, _ row: UnsafeMutablePointer<Float>, _ index: Int) {
        UnsafeMutableRawPointer(row + index).storeBytes(of: lanes, as: Lanes.self)
    }

    /// The inner product of two rows.
    @inlinable @inline(__always)
    public static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
        var lanes = Lanes.zero
        var index = 0
        while index + Lanes.scalarCount <= count {
            lanes += load(a, index) * load(b, index)
            index += Lanes.scalarCount
        }
        var sum = lanes.sum()
        while index < count {
            sum += a[index] * b[index]
            index += 1
        }
        return sum
    }

    /// `b += scale * a`.
    @inlinable @inline(__always)
    public static func add(
        _ scale: Float, _ a: UnsafePointer<Float>, to b: UnsafeMutablePointer<Float>, _ count: Int
    ) {
        var index = 0
        while index + Lanes.scalarCount <= count {
            store(load(b, index) + load(a, index) * scale, b, index)
            index += Lanes.scalarCount
        }
        while index < count {
            b[index] += scale * a[index]
            index += 1
        }
    }

    /// The largest element, or the given bound where none exceeds it.
    @inline(__always)
    static func maximum(_ row: UnsafePointer<Float>, _ count: Int, atLeast bound: Float) -> Float {
        var lanes = Lanes(repeating: bound)
        var index = 0
        while index + Lanes.scalarCount <= count {
            let values = load(row, index)
            lanes.replace(with: values, where: values .> lanes)
            index += Lanes.scalarCount
        }
        var maximum = lanes.max()
        while index < count {
            maximum = Swift.max(maximum, row[index])
            index += 1
        }
        return maximum
    }

    /// Replaces each element by the exponential of itself less a maximum, and returns their sum.
    ///
    /// Cody-Waite reduction to `|r| <= ln(2)/2` and a polynomial of degree six: relative error below 3e-7. Elements 87
    /// or more below the maximum, also minus infinity, become less than 1e-37.
    static func exponentials(_ row: UnsafeMutablePointer<Float>, _ count: Int, less maximum: Float) -> Float {
        var lanes = Lanes.zero
        var index = 0
        while index + Lanes.scalarCount <= count {
            let value = exponential(load(row, index) - maximum)
            store(value, row, index)
            lanes += value
            index += Lanes.scalarCount
        }
        var sum = lanes.sum()
        while index < count {
            row[index] = exponential(Lanes(repeating: row[index] - maximum))[0]
            sum += row[index]
            index += 1
        }
        return sum
    }

    @inline(__always)
    static func exponential(_ value: Lanes) -> Lanes {
        var x = value
        x.replace(with: -87, where: x .< -87)
        x.replace(with: 87, where: x .> 87)
        // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
        let shift = Lanes(repeating: 12_582_912)
        let shifted = x * 1.442_695_04 + shift
        let rounded = shifted - shift
        let r = (x - rounded * 0.693_359_375) + rounded * 2.121_944_4e-4
        var polynomial = r * 1.388_888_9e-3 + 8.333_333_3e-3
        polynomial = polynomial * r + 4.166_666_7e-2
        polynomial = polynomial * r + 1.666_666_7e-1
        polynomial = polynomial * r + 0.5
        polynomial = polynomial * r + 1
        polynomial = polynomial * r + 1
        let exponent = SIMD8<Int32>(truncatingIfNeeded: unsafeBitCast(shifted, to: SIMD8<Int32>.self)) &- 0x4B40_0000
        let power = unsafeBitCast((exponent &+ 127) &<< 23, to: Lanes.self)
        return polynomial * power
    }
}
