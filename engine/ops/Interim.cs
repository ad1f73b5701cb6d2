#pragma warning disable CS1591
namespace Plip.Engine;
public static unsafe partial class Ops
{
    public static Tensor Dropout(Tensor x,float p,Philox r)=>throw new NotSupportedException();
    public static Tensor L2Normalize(Tensor x,float eps=1e-12f)
    { int n=x.Rows,c=x.Cols; var y=Tensor.Like(x); var r=Tensor.PerRow(x); for(var i=0;i<n;i++){ r.F32[i]=1/MathF.Sqrt(Simd.SumSquares(x.F32+i*c,c)+eps); for(var k=0;k<c;k++) y.F32[i*c+k]=x.F32[i*c+k]*r.F32[i]; }
      return Tape.Record(y,[x],dy=>{ var dx=Tensor.Like(x); for(var i=0;i<n;i++){ var d=Simd.Dot(dy.F32+i*c,y.F32+i*c,c); for(var k=0;k<c;k++) dx.F32[i*c+k]=r.F32[i]*(dy.F32[i*c+k]-d*y.F32[i*c+k]); } return [dx]; },[r]); }
    public static Tensor Concat(Tensor[] xs,int axis)
    { var s=xs[0].Shape; axis=axis<0?s.Rank+axis:axis; long outer=1,inner=1; for(var i=0;i<axis;i++) outer*=s[i]; for(var i=axis+1;i<s.Rank;i++) inner*=s[i]; var d=s.ToArray(); d[axis]=xs.Sum(x=>x.Shape[axis]); var y=Tensor.Empty(xs[0].Device,new Shape(d)); long at=0,w=d[axis]*inner;
      foreach(var x in xs){ var l=x.Shape[axis]*inner; for(long o=0;o<outer;o++) x.Device.Copy(x.Address+(nint)(o*l*4),y.Address+(nint)((o*w+at)*4),l*4); at+=l; }
      return Tape.Record(y,xs,dy=>{ var g=new Tensor?[xs.Length]; var a=0; for(var k=0;k<xs.Length;k++){ g[k]=Slice(dy,axis,a,xs[k].Shape[axis]); a+=xs[k].Shape[axis]; } return g; }); }
    public static Tensor Slice(Tensor x,int axis,int start,int length)
    { var s=x.Shape; long outer=1,inner=1; for(var i=0;i<axis;i++) outer*=s[i]; for(var i=axis+1;i<s.Rank;i++) inner*=s[i]; var d=s.ToArray(); d[axis]=length; var y=Tensor.Empty(x.Device,new Shape(d)); long w=s[axis]*inner,l=length*inner; for(long o=0;o<outer;o++) x.Device.Copy(x.Address+(nint)((o*w+start*inner)*4),y.Address+(nint)(o*l*4),l*4);
      return Tape.Record(y,[x],dy=>{ var dx=Tensor.Zeros(x.Device,x.Shape); for(long o=0;o<outer;o++) x.Device.Copy(dy.Address+(nint)(o*l*4),dx.Address+(nint)((o*w+start*inner)*4),l*4); return [dx]; }); }
    public static Tensor UpsampleNearest2d(Tensor x,int k)
    { int n=x.Shape[0],h=x.Shape[1],w=x.Shape[2],c=x.Cols; var y=Tensor.Empty(x.Device,new Shape(n,h*k,w*k,c));
      x.Device.Run(cpu=>{ float* a=x.F32,b=y.F32; cpu.For(n*h*k,q=>{ for(var j=0;j<w*k;j++) for(var z=0;z<c;z++) b[((long)q*w*k+j)*c+z]=a[(((long)q/k)*w+j/k)*c+z]; }); });
      return Tape.Record(y,[x],dy=>{ var dx=Tensor.Zeros(x.Device,x.Shape); x.Device.Run(cpu=>{ float* a=dx.F32,b=dy.F32; cpu.For(n*h,q=>{ for(var u=0;u<k;u++) for(var j=0;j<w*k;j++) for(var z=0;z<c;z++) a[((long)q*w+j/k)*c+z]+=b[(((long)q*k+u)*w*k+j)*c+z]; }); }); return [dx]; }); }
    public static Tensor UpsampleBilinear2d(Tensor x,int H,int W)
    { int n=x.Shape[0],h=x.Shape[1],w=x.Shape[2],c=x.Cols; var y=Tensor.Empty(x.Device,new Shape(n,H,W,c));
      x.Device.Run(cpu=>{ float* a=x.F32,b=y.F32; cpu.For(n*H,q=>{ for(var j=0;j<W;j++) for(var z=0;z<c;z++) b[((long)q*W+j)*c+z]=a[(((long)(q/H)*h+(q%H)*h/H)*w+j*w/W)*c+z]; }); });
      return Tape.Record(y,[x],dy=>{ var dx=Tensor.Zeros(x.Device,x.Shape); x.Device.Run(cpu=>{ float* a=dx.F32,b=dy.F32; cpu.For(n,i=>{ for(var r=0;r<H;r++) for(var j=0;j<W;j++) for(var z=0;z<c;z++) a[(((long)i*h+r*h/H)*w+j*w/W)*c+z]+=b[((long)(i*H+r)*W+j)*c+z]; }); }); return [dx]; }); }
}
