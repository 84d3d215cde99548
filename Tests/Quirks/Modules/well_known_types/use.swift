import FletchWellKnownTypes

func use() -> All { All(times: [Google_Protobuf_Timestamp(seconds: 1)], o: .time(Google_Protobuf_Timestamp())) }
typealias All = Wkt_All
